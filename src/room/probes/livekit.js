// LiveKit: livekit-client's Room, where the page shows it; its own apps do as
// window.__lk_room. (Templates made for its egress say what they know on the
// console instead: see console.rs.)
() => {
  const isRoom = (one) => one?.remoteParticipants instanceof Map && typeof one.state === 'string';
  const room = [window.__lk_room, window.livekitRoom, window.room].find(isRoom);
  if (!room) return null;
  const EGRESS = 2; // ParticipantInfo.Kind
  const hidden = ({ kind, permissions }) =>
    kind === EGRESS || permissions?.hidden === true || permissions?.recorder === true;
  const others = [...room.remoteParticipants.values()].filter((one) => !hidden(one));
  return {
    joined: room.state === 'connected',
    peers: others.map(({ identity, name, attributes }) => ({
      id: identity,
      name: name || identity,
      role: attributes?.role,
    })),
    over: room.state === 'disconnected' ? 'left' : null,
  };
}
