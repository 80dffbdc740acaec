// The page around the scene: sound, waveform, words and numbers of a live stream.
//
// One clock rules: the stream's time of the frame that is on the screen ("clock" events). Sound is
// scheduled so that each sample is heard when the frame that belongs to it is seen; what cannot be
// had in time is reported as the offset, not hidden.
"use strict";

// From handing a frame to the scene to seeing it: an estimate for a browser with a graphics card
// (viser's window of 17 ms, decoding, up to two pictures). Software rendering takes longer.
const DISPLAY_S = 0.05;
const SHOWN_S = 4.0; // of the waveform
const BUCKET_S = 0.01;
const MOST_WORDS = 12;
const WORD_PX = 72; // of the line of words, for one of them
const JUMP_S = 0.06; // smaller errors of the sound's place are left alone: moving it would click

const byId = (id) => document.getElementById(id);
const wallNow = () => performance.now() / 1000;

// ---- the stream's clock -----------------------------------------------------------------------

const clock = { samples: [], offset: null, last: -1 };

function updateClock(time) {
  const now = wallNow();
  const known = clock.last >= 0; // a page that opens late has words before its first clock
  if (known && (time < clock.last - 0.5 || time > clock.last + 5)) restart();
  clock.last = time;
  clock.samples.push([now, now - time]);
  while (clock.samples[0][0] < now - 3) clock.samples.shift();
  // The least delayed of the last seconds: network and scheduling only ever add.
  clock.offset = Math.min(...clock.samples.map((s) => s[1]));
}

// The stream's time of what is on the screen now, in seconds.
const streamNow = () => (clock.offset === null ? 0 : wallNow() - clock.offset - DISPLAY_S);

function restart() {
  clock.samples = [];
  clock.offset = null;
  wave.clear();
  words.length = 0;
  sound.cut();
}

// ---- sound ------------------------------------------------------------------------------------

const sound = {
  context: null,
  next: 0, // context time at which what is scheduled ends
  behind: 0, // seconds that the sound comes after the picture because it arrives too late
  slack: [], // of the last seconds: how long before its time sound arrived
  queue: new Set(),

  toggle() {
    if (this.context && this.context.state === "running") {
      this.context.suspend();
      this.cut();
      showSound(false);
      return;
    }
    this.context = this.context || new AudioContext({ latencyHint: "interactive" });
    this.context.resume();
    this.behind = 0;
    this.cut();
    showSound(true);
  },

  // Lateness that is over need not be kept up.
  catchUp(slack) {
    const now = wallNow();
    this.slack.push([now, slack]);
    if (this.slack[0][0] > now - 5) return;
    while (this.slack[0][0] < now - 5) this.slack.shift();
    const spare = Math.min(...this.slack.map((s) => s[1])) - 0.03;
    if (this.behind === 0 || spare < 0.03) return;
    this.behind = Math.max(0, this.behind - spare);
    this.slack = [];
  },

  cut() {
    for (const source of this.queue) source.stop();
    this.queue.clear();
    this.next = 0;
  },

  play(first, rate, pcm) {
    const context = this.context;
    if (!context || context.state !== "running" || clock.offset === null) return;
    const delay = context.outputLatency || context.baseLatency || 0;
    const ideal = context.currentTime + (first / rate - streamNow()) - delay;
    const earliest = context.currentTime + 0.02;
    if (ideal + this.behind < earliest) this.behind = Math.min(earliest - ideal + 0.02, 1.0);
    this.catchUp(ideal + this.behind - earliest);
    let at = ideal + this.behind;
    if (Math.abs(at - this.next) < JUMP_S && this.next > earliest - 0.02) at = this.next;
    if (at < context.currentTime) return;
    const buffer = context.createBuffer(1, pcm.length, rate);
    buffer.copyToChannel(pcm, 0);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    source.onended = () => this.queue.delete(source);
    source.start(at);
    this.queue.add(source);
    this.next = at + pcm.length / rate;
    this.offset = at - ideal;
  },
};

function showSound(on) {
  const button = byId("sound");
  button.textContent = on ? "\u25A0 sound" : "\u25B6 sound";
  button.classList.toggle("on", on);
}

function decodePcm(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return Float32Array.from(new Int16Array(bytes.buffer), (v) => v / 32768);
}

// ---- waveform ---------------------------------------------------------------------------------

const wave = {
  buckets: new Map(), // loudest sample by hundredth of a second

  clear() { this.buckets.clear(); },

  add(first, rate, pcm) {
    const size = rate * BUCKET_S;
    for (let i = 0; i < pcm.length; i += 1) {
      const bucket = Math.floor((first + i) / size);
      const level = Math.abs(pcm[i]);
      if (level > (this.buckets.get(bucket) || 0)) this.buckets.set(bucket, level);
    }
    const oldest = (first + pcm.length) / size - (2 * SHOWN_S) / BUCKET_S;
    for (const bucket of this.buckets.keys()) {
      if (bucket >= oldest) break;
      this.buckets.delete(bucket);
    }
  },

  draw() {
    const canvas = byId("wave");
    const scale = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(canvas.clientHeight * scale);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    const now = streamNow();
    const start = now - SHOWN_S * 0.85;
    const x = (time) => ((time - start) / SHOWN_S) * width;
    const step = (width * BUCKET_S) / SHOWN_S;
    for (const [bucket, level] of this.buckets) {
      const time = bucket * BUCKET_S;
      const tall = Math.max(1, Math.min(1, level * 1.4) * height);
      pen.fillStyle = time <= now ? "#0f7a8f" : "#9db4c0";
      pen.fillRect(x(time), (height - tall) / 2, Math.max(1, step * 0.72), tall);
    }
    pen.fillStyle = "#16222d";
    pen.fillRect(x(now), 0, Math.max(1, scale), height);
  },
};

// ---- words ------------------------------------------------------------------------------------

const words = [];

// Later knowledge replaces what it overlaps.
function mergeWords(fresh) {
  for (const word of fresh) {
    for (let i = words.length - 1; i >= 0; i -= 1) {
      if (words[i].start < word.end && word.start < words[i].end) words.splice(i, 1);
    }
    words.push(word);
  }
  words.sort((a, b) => a.start - b.start);
  if (words.length > 4000) words.splice(0, words.length - 4000);
}

let wordsShown = "";

function drawWords() {
  const now = streamNow();
  let current = words.findIndex((word) => word.end > now);
  if (current < 0) current = words.length;
  const room = Math.floor(byId("words").clientWidth / WORD_PX);
  const most = Math.max(3, Math.min(MOST_WORDS, room));
  const first = Math.max(0, current - Math.floor(most / 2));
  const shown = words.slice(first, first + most);
  const state = shown.map((w) => (w.end <= now ? "past" : w.start <= now ? "now" : ""));
  const key = shown.map((w, i) => w.word + state[i]).join(" ");
  if (key === wordsShown) return;
  wordsShown = key;
  byId("words").replaceChildren(
    ...shown.map((word, i) => {
      const span = document.createElement("span");
      span.textContent = word.word;
      span.className = state[i];
      return span;
    }),
  );
}

// ---- numbers ----------------------------------------------------------------------------------

let stats = {};
let picture = { fps: 0 };

const number = (value, digits = 1) => (Number.isFinite(value) ? value.toFixed(digits) : "\u2013");
const pair = (p) => (p ? `${number(p.p50)} / ${number(p.p95)} ms` : "\u2013");

function rows() {
  const list = [
    ["frames received", `${number(picture.fps)} / s`],
    ["audio to pose, p50 / p95", pair(stats.audio_to_pose_ms)],
    ["compute, p50 / p95", pair(stats.compute_ms)],
  ];
  for (const [key, value] of Object.entries(stats)) {
    if (typeof value === "number") list.push([key.replaceAll("_", " "), `${+value.toFixed(3)}`]);
  }
  if (sound.offset !== undefined && sound.context && sound.context.state === "running") {
    list.push(["sound after picture", `${number(sound.offset * 1000, 0)} ms`]);
  }
  const events = Object.entries(stats.events || {});
  const counts = events.map(([name, count]) => [name.replaceAll("_", " "), count, "event"]);
  return list.concat(counts);
}

function drawNumbers() {
  let inEvents = false;
  byId("numbers").replaceChildren(
    ...rows().map(([name, value, kind]) => {
      const row = document.createElement("tr");
      for (const text of [name, value]) row.insertCell().textContent = text;
      if (kind === "event" && !inEvents) row.classList.add("rule");
      if (kind === "event" && value > 0) row.classList.add("bad");
      inEvents = inEvents || kind === "event";
      return row;
    }),
  );
}

function showState(text, kind) {
  const state = byId("state");
  if (state.textContent !== text) state.textContent = text;
  state.className = `state ${kind}`;
}

// ---- events -----------------------------------------------------------------------------------

const handlers = {
  scene({ port }) {
    byId("scene").src = `${location.protocol}//${location.hostname}:${port}/`;
  },
  state({ connected, why }) {
    restart();
    showState(connected ? "connected" : "waiting for the stream", connected ? "" : "off");
    byId("state").title = why || "";
  },
  clock(body) {
    picture = body;
    updateClock(body.time);
    if (body.held) showState("held: the model is late", "idle");
    else showState(body.idle ? "listening" : "speaking", body.idle ? "idle" : "");
  },
  audio({ first, rate, pcm }) {
    const samples = decodePcm(pcm);
    wave.add(first, rate, samples);
    sound.play(first, rate, samples);
  },
  words(body) { mergeWords(body.words); },
  stats(body) {
    const { type, ...rest } = body;
    stats = rest;
  },
};

function listen() {
  const source = new EventSource("events");
  for (const [kind, handle] of Object.entries(handlers)) {
    source.addEventListener(kind, (event) => handle(JSON.parse(event.data)));
  }
  source.onerror = () => showState("the viewer has ended", "off");
}

byId("sound").addEventListener("click", () => sound.toggle());
for (const button of document.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => fetch(`view/${button.dataset.view}`, { method: "POST" }));
}
byId("open").addEventListener("click", () => {
  const open = byId("panel").classList.toggle("open");
  byId("open").setAttribute("aria-expanded", String(open));
});
setInterval(drawNumbers, 500);
(function draw() {
  wave.draw();
  drawWords();
  requestAnimationFrame(draw);
})();
listen();
