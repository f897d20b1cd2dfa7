// A talking head for the demo room, run before the page's own scripts: it takes
// the camera's and the microphone's place. `bot`: { name, index, count, pitch }.
// Cheap on purpose: a still background, few moving pixels, one phrase computed
// once; the machine has to run several of these beside a recorder.
((bot) => {
  const WIDTH = 640;
  const HEIGHT = 360;
  const FPS = 20;
  const RATE = 48000;
  // Who speaks is told by the wall clock, which all bots of a machine share.
  const TURN_MS = 4000;
  const PHRASE_S = 3.4;
  const ENVELOPE_HZ = 100;
  // First and second formant of some vowels, in hertz.
  const VOWELS = [[730, 1090], [530, 1840], [270, 2290], [570, 840], [300, 870]];
  // With its server gone for this long a bot stops: whoever started it was killed.
  const ORPHAN_MS = 30000;

  // The room page reads this: send only, fetch nobody's media.
  window.roomreelDemo = { subscribe: false };

  // Syllables of a quarter second with pauses between words: harmonics of one
  // pitch, weighted by the vowel's formants.
  function phrase() {
    const length = Math.round(PHRASE_S * RATE);
    const samples = new Float32Array(length);
    const envelope = new Float32Array(Math.ceil(PHRASE_S * ENVELOPE_HZ));
    let seed = 7 + bot.index * 13;
    const random = () => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed / 2147483648;
    };
    let at = 0;
    while (at < length - RATE * 0.3) {
      const [f1, f2] = VOWELS[Math.floor(random() * VOWELS.length)];
      const duration = Math.round((0.14 + random() * 0.12) * RATE);
      const weights = [];
      for (let k = 1; k * bot.pitch < 3200; k += 1) {
        const near = (formant, width) => 1 / (1 + ((k * bot.pitch - formant) / width) ** 2);
        // The first harmonic is the strongest, so that each bot can be found by it.
        weights.push((k === 1 ? 1.2 : 0) + (near(f1, 120) + 0.6 * near(f2, 160)) / Math.sqrt(k));
      }
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (let n = 0; n < duration && at + n < length; n += 1) {
        const shape = Math.sin((Math.PI * n) / duration);
        const phase = (2 * Math.PI * bot.pitch * (at + n)) / RATE;
        let sum = 0;
        for (let k = 0; k < weights.length; k += 1) sum += weights[k] * Math.sin(phase * (k + 1));
        samples[at + n] = (0.75 * shape * sum) / total;
        envelope[Math.floor(((at + n) * ENVELOPE_HZ) / RATE)] = shape;
      }
      at += duration + Math.round((random() < 0.25 ? 0.22 : 0.03) * RATE);
    }
    return { samples, envelope };
  }

  function voice() {
    // No loudspeaker: the sound leaves through the stream alone.
    const context = new AudioContext({
      sampleRate: RATE,
      latencyHint: 'playback',
      sinkId: { type: 'none' },
    });
    const out = context.createMediaStreamDestination();
    out.channelCount = 1;
    const { samples, envelope } = phrase();
    const buffer = context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(samples, 0);
    let turn = -1;
    let start = -Infinity;
    return {
      track: out.stream.getAudioTracks()[0],
      // Begins to speak when it is this bot's turn; how wide the mouth is, 0 to 1.
      mouth(now) {
        const current = Math.floor(now / TURN_MS);
        if (current !== turn && current % bot.count === bot.index) {
          turn = current;
          start = context.currentTime;
          const source = context.createBufferSource();
          source.buffer = buffer;
          source.connect(out);
          source.start();
        }
        return envelope[Math.floor((context.currentTime - start) * ENVELOPE_HZ)] ?? 0;
      },
    };
  }

  function picture() {
    // Kept in memory: frames are read back 20 times a second.
    const canvas = document.createElement('canvas');
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
    const pen = canvas.getContext('2d', { alpha: false, willReadFrequently: true });
    const hue = (bot.index * 67 + 210) % 360;
    const ellipse = (x, y, rx, ry, colour) => {
      pen.fillStyle = colour;
      pen.beginPath();
      pen.ellipse(x, y, rx, ry, 0, 0, 2 * Math.PI);
      pen.fill();
    };

    const wall = pen.createLinearGradient(0, 0, 0, HEIGHT);
    wall.addColorStop(0, `hsl(${hue} 38% 34%)`);
    wall.addColorStop(1, `hsl(${hue} 42% 20%)`);
    pen.fillStyle = wall;
    pen.fillRect(0, 0, WIDTH, HEIGHT);
    pen.fillStyle = `hsl(${hue} 40% 40%)`;
    pen.fillRect(24, 60, 110, 80);
    pen.fillStyle = `hsl(${(hue + 40) % 360} 45% 60%)`;
    pen.fillRect(32, 68, 94, 64);
    ellipse(WIDTH / 2, HEIGHT + 20, 165, 115, `hsl(${(hue + 150) % 360} 45% 45%)`);
    // Name and clock stay where no shape of tile cuts them off.
    pen.font = '600 24px sans-serif';
    pen.fillStyle = '#fff';
    pen.fillText(bot.name, 128, 34);
    const still = document.createElement('canvas');
    still.width = WIDTH;
    still.height = HEIGHT;
    still.getContext('2d').drawImage(canvas, 0, 0);

    const skin = `hsl(${24 + (bot.index % 3) * 4} ${45 - (bot.index % 4) * 4}% ${74 - (bot.index % 4) * 12}%)`;
    const hair = `hsl(${(bot.index * 31) % 50} 30% ${10 + (bot.index % 4) * 6}%)`;
    const restore = (x, y, w, h) => pen.drawImage(still, x, y, w, h, x, y, w, h);

    pen.textAlign = 'right';
    return {
      canvas,
      draw(now, mouth) {
        const t = now / 1000;
        restore(200, 48, 240, 260);
        const x = WIDTH / 2 + 7 * Math.sin(t * 0.9 + bot.index) + 3 * mouth;
        const y = 172 + 4 * Math.sin(t * 1.3 + bot.index * 2) - 4 * mouth;
        pen.fillStyle = skin;
        pen.fillRect(x - 26, y + 70, 52, 50);
        ellipse(x, y - 14, 84, 98, hair);
        ellipse(x, y + 6, 72, 90, skin);
        const blink = (t + bot.index * 1.7) % 3.7 < 0.15 ? 1 : 8;
        for (const side of [-1, 1]) {
          ellipse(x + side * 28, y - 8, 11, blink, '#fff');
          if (blink > 1) ellipse(x + side * 28 + 3 * Math.sin(t * 0.5), y - 8, 5, 6, '#222');
        }
        ellipse(x, y + 48, 21 - 5 * mouth, 3 + 17 * mouth, '#7c2530');
        restore(320, 8, 200, 36);
        pen.fillStyle = '#fff';
        pen.fillText(new Date(now).toISOString().slice(11, 21), 512, 34);
      },
    };
  }

  let stream = null;
  function perform() {
    const head = picture();
    const speech = voice();
    const video = head.canvas.captureStream(0).getVideoTracks()[0];
    // Coded as a screen is: never scaled down, and a third cheaper than as a film.
    video.contentHint = 'detail';
    let seen = Date.now();
    setInterval(() => {
      const now = Date.now();
      head.draw(now, speech.mouth(now));
      video.requestFrame();
      if (window.roomreel?.joined) seen = now;
      else if (now - seen > ORPHAN_MS) location.replace('about:blank');
    }, 1000 / FPS);
    return new MediaStream([video, speech.track]);
  }

  // Absent where the page came over the network without TLS.
  if (!navigator.mediaDevices) Object.defineProperty(navigator, 'mediaDevices', { value: {} });
  Object.defineProperty(navigator.mediaDevices, 'getUserMedia', {
    value: async ({ video, audio }) => {
      stream ??= perform();
      const wanted = stream.getTracks().filter((track) => (track.kind === 'video' ? video : audio));
      return new MediaStream(wanted);
    },
  });
})
