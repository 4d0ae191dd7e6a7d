"""Who is in a channel, as one who asked once and then followed the announcements knows it."""


class Following:
    """What one member knows of the others, from its join to its leave."""

    def __init__(self, report, own, now):
        self._report = report
        self._own = own
        # Up to when reloads have been looked for.
        self.checked = now
        # The last announcement of each user, and who is here.
        self._last = {}
        self._here = {}
        self.is_complete = False

    def forget(self):
        """The channel's settings have changed: who came and went meanwhile need not have been announced."""
        self._last.clear()
        self._here.clear()
        self.is_complete = False

    def announced(self, kind, user, is_settled):
        """`is_settled`: no reload has just had the hub count anew."""
        if user == self._own and is_settled:
            self._report("announced", f"the member {user} itself was announced: {kind}")
        elif self._last.get(user) == kind:
            self._report("announced", f"{user} was announced twice: {kind}")
        self._last[user] = kind
        self._here[user] = kind == "join"

    def asked(self, users):
        """The hub has told who is here; only the first time counts."""
        if not self.is_complete:
            for user in users:
                self._here[user] = True
            self.is_complete = True

    @property
    def users(self):
        return {user for user, is_here in self._here.items() if is_here}
