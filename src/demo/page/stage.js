// The tiles: keeps one element per picture and lays them out.

import { grid, spotlight } from './layout.js';

const SVG = 'http://www.w3.org/2000/svg';

const make = (tag, className, parent) => {
  const element = document.createElement(tag);
  element.className = className;
  parent?.append(element);
  return element;
};

// A crossed-out microphone.
function mutedIcon(parent) {
  const icon = document.createElementNS(SVG, 'svg');
  icon.setAttribute('viewBox', '0 0 24 24');
  icon.setAttribute('role', 'img');
  icon.setAttribute('aria-label', 'muted');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', 'M9 6a3 3 0 0 1 6 0v5a3 3 0 0 1-6 0zM5 11a7 7 0 0 0 14 0M12 18v3M4 4l16 16');
  icon.append(path);
  parent.append(icon);
}

const initials = (name) =>
  name.split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? '').join('').toUpperCase();

class Tile {
  constructor(parent, onBlocked) {
    this.onBlocked = onBlocked;
    this.silenced = false;
    this.box = make('div', 'tile');
    this.box.setAttribute('role', 'group');
    this.video = make('video', '', this.box);
    this.video.autoplay = true;
    this.video.playsInline = true;
    this.avatar = make('span', '', make('div', 'avatar', this.box));
    const label = make('div', 'label', this.box);
    this.name = make('span', '', label);
    mutedIcon(label);
    this.trouble = make('div', 'trouble', this.box);
    parent.append(this.box);
  }

  update(view, speaking) {
    const { box, video } = this;
    const shown = view.own && view.kind === 'camera' ? `${view.name} (you)` : view.name;
    const text = view.kind === 'screen' ? `${view.name}: screen` : shown;
    box.setAttribute('aria-label', text);
    box.dataset.peer = view.peer;
    this.name.textContent = text;
    this.avatar.textContent = initials(view.name);
    box.classList.toggle('screen', view.kind === 'screen');
    box.classList.toggle('own', view.own);
    box.classList.toggle('dark', !view.picture || !view.stream);
    box.classList.toggle('open', view.mic || view.kind === 'screen');
    box.classList.toggle('speaking', speaking);
    this.trouble.textContent = view.trouble;
    this.trouble.hidden = !view.trouble;
    video.muted = view.own || this.silenced;
    if (video.srcObject !== view.stream) {
      video.srcObject = view.stream;
      if (view.stream) this.play();
    }
  }

  play() {
    this.video.play().catch((error) => {
      // Aborted plays are followed by another. Blocked ones go on without sound
      // until somebody clicks.
      if (error.name !== 'NotAllowedError' || this.silenced) return;
      this.silenced = true;
      this.video.muted = true;
      this.play();
      this.onBlocked();
    });
  }

  unblock() {
    if (!this.silenced) return;
    this.silenced = false;
    this.video.muted = false;
    this.play();
  }

  place(rect) {
    this.box.classList.toggle('away', !rect);
    if (!rect) return;
    const { style } = this.box;
    style.left = `${rect.x}px`;
    style.top = `${rect.y}px`;
    style.width = `${rect.w}px`;
    style.height = `${rect.h}px`;
  }

  remove() {
    this.video.srcObject = null;
    this.box.remove();
  }
}

export class Stage {
  // `bleed`: no gaps; `spotlight`: one large tile even without a shared screen.
  constructor(area, { bleed, spotlight: one, onBlocked }) {
    Object.assign(this, { area, bleed, one, onBlocked });
    this.tiles = new Map();
    this.views = [];
    this.speaker = null;
    new ResizeObserver(() => this.layout()).observe(area);
  }

  // `views`: { key, peer, kind, name, own, stream, picture, mic, trouble } each,
  // in the order they are shown.
  show(views) {
    this.views = views;
    const keys = new Set(views.map((view) => view.key));
    for (const [key, tile] of this.tiles) {
      if (keys.has(key)) continue;
      tile.remove();
      this.tiles.delete(key);
    }
    for (const view of views) {
      if (!this.tiles.has(view.key)) {
        this.tiles.set(view.key, new Tile(this.area, this.onBlocked));
      }
      this.paint(view);
    }
    this.layout();
  }

  paint(view) {
    const speaking = view.kind === 'camera' && view.mic && view.peer === this.speaker;
    this.tiles.get(view.key).update(view, speaking);
  }

  // Rings the tile of `peer`, null for nobody.
  ring(peer) {
    if (this.speaker === peer) return;
    this.speaker = peer;
    for (const view of this.views) this.paint(view);
    if (this.one && peer !== null) this.layout();
  }

  // The tile to be large: a shared screen, else whoever spoke last.
  large() {
    const { views } = this;
    const screen = views.find((view) => view.kind === 'screen' && !view.own)
      ?? views.find((view) => view.kind === 'screen');
    if (screen || !this.one) return screen;
    const speaking = views.find((view) => view.peer === this.speaker && !view.own);
    const last = views.find((view) => view.key === this.lastLarge);
    return speaking ?? last ?? views[0];
  }

  layout() {
    const { clientWidth: width, clientHeight: height } = this.area;
    const large = this.large();
    this.lastLarge = large?.key;
    const order = large ? [large, ...this.views.filter((view) => view !== large)] : this.views;
    const rects = (large ? spotlight : grid)(order.length, width, height, this.bleed);
    order.forEach((view, index) => this.tiles.get(view.key).place(rects[index]));
  }

  // After a click the browser lets sound play.
  unblock() {
    for (const tile of this.tiles.values()) tile.unblock();
  }
}
