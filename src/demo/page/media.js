// Our own camera, microphone and screen.

const CAMERA = { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { ideal: 24, max: 24 } };
const MICROPHONE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

export class Media {
  // `onChange(kind, track)` is told of every track that begins or ends (null).
  constructor(onChange) {
    this.onChange = onChange;
    this.tracks = { mic: null, cam: null, screen: null };
    this.problem = '';
    this.closed = false;
    // Our camera as our own tile shows it.
    this.mirror = null;
    this.meter = null;
  }

  // Camera and microphone, or whichever of them there is. Sets `problem` to a
  // sentence when something is missing.
  async open() {
    if (!navigator.mediaDevices) {
      this.problem = 'Browsers give the camera to https and localhost pages only';
      this.set('cam', null);
      return;
    }
    let failure = null;
    const ask = (constraints) =>
      navigator.mediaDevices.getUserMedia(constraints).catch((error) => {
        failure = error;
        return null;
      });
    let stream = await ask({ video: CAMERA, audio: MICROPHONE });
    if (!stream && failure.name !== 'NotAllowedError') {
      stream = (await ask({ audio: MICROPHONE })) ?? (await ask({ video: CAMERA }));
    }
    if (this.closed) {
      stream?.getTracks().forEach((track) => track.stop());
      return;
    }
    if (failure) {
      this.problem =
        failure.name === 'NotAllowedError'
          ? 'The browser does not allow camera and microphone here'
          : 'No camera or no microphone was found';
    }
    this.set('cam', stream?.getVideoTracks()[0] ?? null);
    this.set('mic', stream?.getAudioTracks()[0] ?? null);
  }

  set(kind, track) {
    this.tracks[kind] = track;
    if (kind === 'cam') this.mirror = track && new MediaStream([track]);
    if (kind === 'mic') this.meter = null;
    // Unplugged, or stopped from the browser's own bar.
    track?.addEventListener('ended', () => {
      if (this.tracks[kind] === track) this.set(kind, null);
    });
    this.onChange(kind, track);
  }

  isOn(kind) {
    const track = this.tracks[kind];
    return Boolean(track && track.enabled && track.readyState === 'live');
  }

  // Switches `kind` off or on. The microphone stays open while muted, to be
  // back at once; camera and screen are really given back.
  async toggle(kind) {
    const track = this.tracks[kind];
    if (kind === 'mic' && track) {
      track.enabled = !track.enabled;
      this.onChange(kind, track);
    } else if (track) {
      track.stop();
      this.set(kind, null);
    } else if (kind === 'screen') {
      const stream = await navigator.mediaDevices.getDisplayMedia({
        video: { width: { max: 1920 }, height: { max: 1080 }, frameRate: { max: 15 } },
      });
      const [screen] = stream.getVideoTracks();
      screen.contentHint = 'detail';
      this.set('screen', screen);
    } else {
      const wish = kind === 'cam' ? { video: CAMERA } : { audio: MICROPHONE };
      const stream = await navigator.mediaDevices.getUserMedia(wish);
      this.set(kind, stream.getTracks()[0]);
    }
  }

  // Loudness of our own microphone, 0 to 1.
  level() {
    if (!this.isOn('mic')) return 0;
    if (!this.meter) {
      this.context ??= new AudioContext();
      this.meter = this.context.createAnalyser();
      this.meter.fftSize = 1024;
      this.context.createMediaStreamSource(new MediaStream([this.tracks.mic])).connect(this.meter);
    }
    const samples = new Float32Array(this.meter.fftSize);
    this.meter.getFloatTimeDomainData(samples);
    return samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
  }

  close() {
    this.closed = true;
    this.context?.close();
    for (const [kind, track] of Object.entries(this.tracks)) {
      track?.stop();
      this.tracks[kind] = null;
    }
  }
}
