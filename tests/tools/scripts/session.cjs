// A caller's session with the contract's own Node SDK (@100mslive/server-sdk), unchanged but for
// its base address. tests/it/official_sdk.rs runs it against `roomreel serve` and judges the file.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const HMS = require('@100mslive/server-sdk');

const { BASE, ACCESS_KEY, SECRET, MEETING, ARCHIVED, OUT } = process.env;

function sdk(secret = SECRET) {
  const made = new HMS.SDK(ACCESS_KEY, secret);
  made.api.axios.defaults.baseURL = BASE;
  made.setLogLevel('silent');
  return made;
}

async function refused(call, code, message) {
  await assert.rejects(call, (error) => {
    assert.deepEqual({ code: error.code, message: error.message }, { code, message });
    return true;
  });
}

async function until(what, question) {
  const end = Date.now() + 90_000;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    assert.ok(Date.now() < end, `not within 90 s: ${what}`);
    await new Promise((wake) => setTimeout(wake, 200));
  }
}

async function all(iterable) {
  const seen = [];
  for await (const item of iterable) seen.push(item);
  return seen;
}

const HEX = /^[0-9a-f]{24}$/;

async function errors(hms) {
  await refused(sdk('another secret').recordings.retrieve('0'.repeat(24)), 401, 'Token validation error');
  await refused(hms.recordings.retrieve('0'.repeat(24)), 404, 'beam not found');
  await refused(hms.recordings.retrieve('no id'), 404, 'beam not found');
  await refused(hms.recordings.stop('0'.repeat(24)), 404, 'beam not found');
  await refused(hms.recordings.stopAll('nobody'), 404, 'beam not found');
  await refused(hms.recordings.start('a', { meeting_url: '' }), 400, 'invalid input');
  await refused(hms.recordings.start('a', {}), 400, 'invalid input');
  const odd = { meeting_url: MEETING, resolution: { width: 1281, height: 720 } };
  await refused(hms.recordings.start('a', odd), 400, 'invalid input');
  await refused(all(hms.recordings.list({ limit: 5 })), 400, 'invalid input');
  await refused(all(hms.recordings.list({ status: 'lost' })), 400, 'invalid input');
  await refused(hms.recordingAssets.retrieve('0'.repeat(24)), 404, 'asset not found');
  await refused(hms.recordingAssets.generatePreSignedURL('0'.repeat(24)), 404, 'asset not found');
}

// Pages of what was recorded before, by the SDK's iterator.
async function lists(hms) {
  const count = Number(ARCHIVED);
  for (const page of [{}, { limit: 10 }, { limit: 15 }, { limit: 100 }]) {
    const found = await all(hms.recordings.list({ room_id: 'archive', ...page }));
    assert.equal(found.length, count, JSON.stringify(page));
    assert.equal(new Set(found.map((r) => r.id)).size, count);
    for (const [i, recording] of found.entries()) {
      assert.match(recording.id, HEX);
      assert.equal(recording.status, 'completed');
      // In lists the SDK leaves times as the texts they are.
      const age = (r) => Date.parse(r.created_at);
      assert.ok(i === 0 || age(found[i - 1]) > age(recording), 'newest first');
    }
  }
  // A last page that is full is followed by an empty one.
  assert.equal((await all(hms.recordings.list({ room_id: 'even' }))).length, 20);
  assert.equal((await all(hms.recordings.list({ room_id: 'nobody' }))).length, 0);
  const [one] = await all(hms.recordings.list({ room_id: 'even', limit: 20 }));
  const session = await all(hms.recordings.list({ session_id: one.session_id }));
  assert.deepEqual(session.map((r) => r.id), [one.id]);
  for (const [status, count] of [['failed', 4], ['completed', 16], ['running', 0]]) {
    assert.equal((await all(hms.recordings.list({ room_id: 'even', status }))).length, count);
  }
  const assets = await all(hms.recordingAssets.list({ room_id: 'archive' }));
  assert.equal(new Set(assets.map((a) => a.id)).size, count);
}

// Two recordings at once, stopped in the two ways there are.
async function record(hms) {
  const resolution = { width: 854, height: 480 };
  const one = await hms.recordings.start('one', { meeting_url: MEETING, resolution });
  assert.match(one.id, HEX);
  assert.match(one.session_id, HEX);
  assert.equal(one.room_id, 'one');
  assert.equal(one.status, 'starting');
  assert.ok(one.created_at instanceof Date);
  assert.deepEqual(one.asset_types, ['room-composite']);
  await refused(hms.recordings.start('one', { meeting_url: MEETING }), 409, 'beam already started');
  const two = await hms.recordings.start('two', { meeting_url: MEETING, resolution });
  for (const { id } of [one, two]) {
    const running = async () => (await hms.recordings.retrieve(id)).status === 'running';
    await until('running', running);
  }
  await new Promise((wake) => setTimeout(wake, 2500));

  const stopping = await hms.recordings.stop(one.id);
  assert.deepEqual([stopping.id, stopping.status], [one.id, 'stopping']);
  const stopped = await hms.recordings.stopAll('two');
  assert.deepEqual(stopped.map((r) => [r.id, r.status]), [[two.id, 'stopping']]);

  for (const { id, room_id } of [one, two]) {
    const done = await until('completed', async () => {
      const recording = await hms.recordings.retrieve(id);
      assert.notEqual(recording.status, 'failed', JSON.stringify(recording));
      return recording.status === 'completed' && recording;
    });
    assert.ok(done.started_at >= done.created_at && done.stopped_at > done.started_at);
    const [nested] = done.recording_assets;
    assert.equal(nested.type, 'room-composite');
    assert.deepEqual(nested.metadata.resolution, resolution);

    const [listed] = await all(hms.recordingAssets.list({ room_id, status: 'completed' }));
    assert.equal(listed.id, nested.id);
    assert.equal(listed.job_id, id);
    assert.equal(listed.session_id, done.session_id);
    const asset = await hms.recordingAssets.retrieve(nested.id);
    assert.deepEqual([asset.path, asset.size], [nested.path, nested.size]);

    const link = await hms.recordingAssets.generatePreSignedURL(asset.id);
    assert.deepEqual([link.id, link.path, link.expiry], [asset.id, asset.path, 3600]);
    assert.equal((await hms.recordingAssets.generatePreSignedURL(asset.id, 60)).expiry, 60);
    // Whoever has the link has the file: no token goes with it.
    const download = await fetch(link.url);
    assert.equal(download.status, 200);
    const bytes = Buffer.from(await download.arrayBuffer());
    assert.equal(bytes.length, asset.size);
    fs.writeFileSync(`${OUT}/${room_id}.mp4`, bytes);
    fs.writeFileSync(`${OUT}/${room_id}.json`, JSON.stringify({ ...asset, id }));
  }
}

(async () => {
  const hms = sdk();
  await errors(hms);
  await lists(hms);
  await record(hms);
})().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
