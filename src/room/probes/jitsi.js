// Jitsi Meet: APP.conference, whose room is a JitsiConference of lib-jitsi-meet.
() => {
  const conference = window.APP?.conference;
  if (!conference) return null;
  const room = conference._room;
  if (!room) return { joined: false, over: 'left' };
  const hidden = (one) => one.isHidden?.() === true || one.isHiddenFromRecorder?.() === true;
  const others = room.getParticipants().filter((one) => !hidden(one));
  const joined = room.isJoined() === true;
  return {
    joined,
    peers: others.map((one) => ({
      id: one.getId(),
      name: one.getDisplayName(),
      role: one.getRole?.(),
    })),
    over: joined ? null : 'left',
  };
}
