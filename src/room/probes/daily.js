// Daily: the call object of daily-js, where the page shows it.
() => {
  const isCall = (one) =>
    typeof one?.meetingState === 'function' && typeof one.participants === 'function';
  const instance = window.DailyIframe?.getCallInstance?.();
  const call = [instance, window.callObject, window.callFrame, window.call].find(isCall);
  if (!call) return null;
  const state = call.meetingState();
  const { local, ...others } = call.participants() ?? {};
  const present = call.participantCounts?.()?.present ?? 0;
  return {
    joined: state === 'joined-meeting',
    peers: Object.values(others).map((one) => ({
      id: one.session_id,
      name: one.user_name,
      role: one.owner ? 'owner' : '',
    })),
    count: Math.max(0, present - (local && local.permissions?.hasPresence !== false ? 1 : 0)),
    over: { 'left-meeting': 'left', error: 'failed' }[state] ?? null,
  };
}
