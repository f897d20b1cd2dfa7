// One RTCPeerConnection to each peer that sends to us or wants ours, negotiated
// by the "perfect negotiation" pattern (W3C WebRTC 1.0, section 10.7): either
// side may offer at any time; when both do, the later comer gives way.

// What each kind of track may cost. A mesh encodes once per receiver.
const ENCODINGS = {
  mic: { maxBitrate: 48_000 },
  cam: { maxBitrate: 600_000, maxFramerate: 24 },
  screen: { maxBitrate: 2_500_000, maxFramerate: 15 },
};

class Link {
  constructor(mesh, peer) {
    this.mesh = mesh;
    this.peer = peer;
    this.polite = mesh.me > peer.id;
    this.senders = {};
    this.streams = new Map();
    this.offering = false;
    this.ignoring = false;
    // Nothing but direct addresses: the demo is for one machine or one network.
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.pc.addEventListener('negotiationneeded', () => this.offer());
    this.pc.addEventListener('icecandidate', ({ candidate }) => this.send({ candidate }));
    this.pc.addEventListener('connectionstatechange', () => this.watch());
    this.pc.addEventListener('track', ({ track, streams: [stream] }) => {
      if (!stream) return;
      this.streams.set(stream.id, stream);
      track.addEventListener('unmute', () => mesh.onChange());
      mesh.onChange();
    });
  }

  send(data) {
    this.mesh.send({ type: 'signal', to: this.peer.id, data });
  }

  watch() {
    const state = this.pc.connectionState;
    if (state === 'failed') this.pc.restartIce();
    this.mesh.onChange();
  }

  // Something is to flow, and does not.
  get trouble() {
    const { connectionState } = this.pc;
    return connectionState === 'disconnected' || connectionState === 'failed';
  }

  async offer() {
    try {
      this.offering = true;
      await this.pc.setLocalDescription();
      this.send({ description: this.pc.localDescription });
    } catch (error) {
      if (this.pc.signalingState !== 'closed') console.warn('offer failed', error);
    } finally {
      this.offering = false;
    }
  }

  async receive({ description, candidate }) {
    const { pc } = this;
    try {
      if (description) {
        const collides =
          description.type === 'offer' && (this.offering || pc.signalingState !== 'stable');
        this.ignoring = !this.polite && collides;
        if (this.ignoring) return;
        await pc.setRemoteDescription(description);
        if (description.type === 'offer') {
          await pc.setLocalDescription();
          this.send({ description: pc.localDescription });
        }
      } else if (candidate) {
        await pc.addIceCandidate(candidate);
      }
    } catch (error) {
      // Candidates of an offer that was passed over fit nothing.
      if (!this.ignoring && pc.signalingState !== 'closed') console.warn('signal failed', error);
    }
  }

  // Sends `track` as `kind` from now on; null stops sending.
  async publish(kind, track, stream) {
    if (!this.mesh.wanted(this.peer)) return;
    const sender = this.senders[kind];
    if (sender) {
      await sender.replaceTrack(track);
    } else if (track) {
      this.senders[kind] = this.pc.addTransceiver(track, {
        direction: 'sendonly',
        streams: [stream],
        sendEncodings: [ENCODINGS[kind]],
      }).sender;
    }
  }

  // Loudness of what this peer says, 0 to 1, as its sender measured it.
  level() {
    let loudest = 0;
    for (const receiver of this.pc.getReceivers()) {
      if (receiver.track.kind !== 'audio') continue;
      loudest = Math.max(loudest, receiver.getSynchronizationSources()[0]?.audioLevel ?? 0);
    }
    return loudest;
  }
}

export class Mesh {
  // `send` takes a signalling message; `onChange` is told when streams or
  // connections changed.
  constructor({ send, onChange }) {
    this.send = send;
    this.onChange = onChange;
    this.links = new Map();
    this.outgoing = new Map();
    // Only their ids matter: the others tell camera and screen apart by them.
    this.cameraStream = new MediaStream();
    this.screenStream = new MediaStream();
  }

  // Begins anew as `me`, for example after a lost connection.
  start({ me, publish, subscribe }) {
    this.close();
    Object.assign(this, { me, publishes: publish, subscribes: subscribe });
  }

  wanted(peer) {
    return this.publishes && peer.subscribe;
  }

  add(peer) {
    if (!this.wanted(peer) && !(this.subscribes && peer.publish)) return;
    const link = new Link(this, peer);
    this.links.set(peer.id, link);
    for (const [kind, { track, stream }] of this.outgoing) link.publish(kind, track, stream);
  }

  remove(id) {
    this.links.get(id)?.pc.close();
    this.links.delete(id);
  }

  receive(from, data) {
    return this.links.get(from)?.receive(data);
  }

  // Sends `track` to everybody as 'mic', 'cam' or 'screen'; null stops.
  publish(kind, track) {
    const stream = kind === 'screen' ? this.screenStream : this.cameraStream;
    this.outgoing.set(kind, { track, stream });
    for (const link of this.links.values()) link.publish(kind, track, stream);
  }

  close() {
    for (const id of [...this.links.keys()]) this.remove(id);
  }
}
