// 100ms: its web SDK leaves the newest reactive store in window.__hms. The store is
// reset when the room ends or we are put out; the notification says which.
() => {
  const hms = window.__hms;
  if (!hms) return null;
  const KEY = Symbol.for('roomreel.100ms');
  if (window[KEY]?.hms !== hms) {
    const heard = { hms, over: null };
    Object.defineProperty(window, KEY, { value: heard, configurable: true });
    hms.getNotifications().onNotification((notification) => {
      if (notification?.type === 'ROOM_ENDED') heard.over = 'ended';
      if (notification?.type === 'REMOVED_FROM_ROOM') heard.over = 'removed';
    });
  }
  const { room, peers, errors } = hms.getStore().getState();
  const joined = room.isConnected === true && room.roomState === 'Connected';
  if (joined) window[KEY].over = null;
  const others = Object.values(peers).filter((one) => !one.isLocal);
  const fatal = (errors ?? []).find((error) => error.isTerminal);
  const out = room.roomState === 'Disconnected' || room.roomState === 'Failed';
  let over = window[KEY].over;
  if (!over && room.roomState === 'Disconnected') over = 'left';
  if (room.roomState === 'Failed' || (out && fatal)) over = 'failed';
  return {
    joined,
    peers: others.map(({ id, name, roleName }) => ({ id, name, role: roleName })),
    // The server's count holds those that a large room does not list, and us. It is
    // zero for a moment after joining.
    count: Math.max(0, (room.peerCount ?? 0) - 1),
    session: joined ? room.sessionId : null,
    over,
    error: fatal ? `${fatal.code} ${fatal.name}` : null,
  };
}
