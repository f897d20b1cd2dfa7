// BigBlueButton: its HTML5 client has no global that knows the room, so this reads
// the list of users, by the marks that its own tests go by. With the list folded
// away nobody is known, which is not nobody.
() => {
  const marked = (name) => [...document.querySelectorAll(`[data-test="${name}"]`)];
  const isClient = window.meetingClientSettings || window.Meteor?.settings?.public?.app;
  const self = marked('userListItemCurrent').length > 0;
  if (!isClient && !self) return null;
  const ended = marked('meetingEndedModal').length + marked('meetingEndedModalTitle').length > 0;
  const others = marked('userListItem').map((one) => ({
    name: one.getAttribute('aria-label') ?? one.textContent?.trim(),
  }));
  return { joined: self, peers: self ? others : null, over: ended ? 'ended' : null };
}
