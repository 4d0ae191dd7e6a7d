/// The completion scripts. Each calls `wsctl ---complete`, and treats the output as data: clients choose the names in
/// it, so no script may let its shell expand them.
enum ShellScript {
    /// The scripts by the shell's name.
    static let all = ["bash": bash, "zsh": zsh, "fish": fish]

    /// wsctl quotes the candidates, because only it can tell a quote that was typed from one that is part of a name;
    /// readline quotes only file names.
    private static let bash = #"""
        # bash completion for wsctl, whose names come from clients of the daemon: never have them expanded.

        _wsctl() {
            local kind='' candidate
            COMPREPLY=()
            {
                IFS='' read -r kind
                while IFS='' read -r candidate; do
                    COMPREPLY+=("$candidate")
                done
            } < <("$1" ---complete bash "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null </dev/null)

            if [[ $kind == file ]]; then
                compopt -o filenames
                while IFS='' read -r candidate; do
                    COMPREPLY+=("$candidate")
                done < <(compgen -f -- "$2")
            elif [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
                compopt -o nospace
            fi
        }

        complete -F _wsctl wsctl

        """#

    /// compadd quotes the text that it inserts.
    private static let zsh = #"""
        #compdef wsctl
        # zsh completion for wsctl, whose names come from clients of the daemon: never have them expanded.

        _wsctl() {
            emulate -L zsh
            local output line value help kind
            local -a lines values shown unfinished
            local -i helped=0

            output=$("${(Q)words[1]}" ---complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null </dev/null)
            lines=("${(@f)output}")
            kind=${lines[1]}
            lines=("${(@)lines[2,-1]}")

            [[ $PREFIX == --*=* ]] && compset -P 1 '*='
            if [[ $kind == file ]]; then
                _files
                return
            fi

            for line in "${lines[@]}"; do
                [[ -n $line ]] || continue
                value=${line%%$'\t'*}
                help=${${line#"$value"}#$'\t'}
                if [[ $value == *= ]]; then
                    unfinished+=("$value")
                else
                    values+=("$value")
                    shown+=("$value${help:+  -- $help}")
                    [[ -n $help ]] && helped=1
                fi
            done

            local -i result=1
            if (( helped )); then
                compadd -V wsctl -l -d shown -a values && result=0
            else
                compadd -V wsctl -a values && result=0
            fi
            compadd -V unfinished -S '' -a unfinished && result=0
            return result
        }

        if [[ ${funcstack[1]} == _wsctl ]]; then
            _wsctl "$@"
        else
            compdef _wsctl wsctl
        fi

        """#

    /// fish takes the output of a command literally, and quotes the text that it inserts.
    private static let fish = #"""
        # fish completion for wsctl, whose names come from clients of the daemon: never have them expanded.

        function __wsctl_complete
            set -l words (commandline -opc)
            set -l token (commandline -ct)
            # A quote that is still open can't be undone; then fish alone looks which candidates begin so.
            set -l prefix (string unescape -- "$token"); or set prefix ''
            set -l lines (command $words[1] ---complete fish $words[2..] "$prefix" 2>/dev/null </dev/null)
            if test "$lines[1]" = file
                __fish_complete_path $token
            else if set -q lines[2]
                printf '%s\n' $lines[2..]
            end
        end

        complete -c wsctl -e
        complete -c wsctl -f -k -a '(__wsctl_complete)'

        """#
}
