"""A model of the json protocol, wsd-protocol(7): random clients whose every message is recorded and checked.

    cd Tests/system && python -m model --seed 7 --workers 2 --minutes 60

A run is a daemon, some dozen clients that join, leave, chat, ask, stall, break off and come back, and operators that
kick, take out, publish and reload. Its seed decides what each of them does, though not what the kernel makes of it.
What each client sent and received is recorded in its order, and afterwards compared with what the protocol promises.
Each promise has a name, by which the checkers report that it was broken:

answered    A request with an `id` gets one answer, an ack or an error, and a request without one no ack.
order       The answers of a connection come in the order of its requests.
state       Requests behave as if each was done before the next: who has been let in may ask and leave, and to
            whoever was not let in (`full`, `not_permitted`), or has left, presence, history and leave say `not_joined`.
outside     Nothing of a channel, neither message nor announcement, comes before the ack of a join, behind the ack of
            the leave, or behind `system left`.
truth       A number of a channel's epoch is one message, byte for byte the same for everybody, live, recovered or in a
            history; what a publisher said is there once, at the number that its ack tells.
epoch       A channel's epoch does not change while somebody is in it.
double      A live message comes once.
gap         Live messages follow each other from the ack of the join on, without a gap, but for the member's own where
            `echo` is false, and as many as the hub says that the queue's policy dropped.
tail        At the end everybody who is in a channel has heard the last message in it.
echo        Where `echo` is false, a publisher never hears live what it said itself.
recovered   A join with `since` is recovered where the history has all that was missed, and only there.
recovery    Behind the ack of a join that is recovered come the messages after `since` up to its `seq`, each once and
            before any other of the channel, unless the client is taken out or closed meanwhile.
rejoin      A member that joins again with a `since` of its live stream is told the channel's newest number, and what comes
            live goes on there. One that asks for what was before that stream is told where it began.
announced   A user's joins and leaves are announced in turn, and never the member's own.
following   Who asks for the presence once and then follows the announcements knows who is there.
presence    The presence tells who is there, with how many connections.
full        There are never more members than `max_members`, and nobody is refused while there is room.
permitted   What the channel's settings forbid is refused, and what they allow is not.
lost        What was published on a connection that went on is in its channel.
ended       A connection that the hub ends is told why, and nothing comes behind that.
leak        When all have gone, nobody is left in any channel.
alive       The daemon goes on.
"""
