// JSON.parse as our reader's peer: of every text on stdin (its size in four bytes, least first,
// then its bytes) one line, "refused" or the value in json_peer.c's merged form.
'use strict';

const fs = require('fs');

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const bits = new DataView(new ArrayBuffer(8));

function hex(text) {
  return `"${Buffer.from(text, 'utf8').toString('hex')}"`;
}

function number(real) {
  bits.setFloat64(0, real === 0 ? 0 : real);
  return `d${bits.getBigUint64(0).toString(16).padStart(16, '0')}`;
}

function form(value) {
  if (value === null) {
    return 'n';
  }
  if (typeof value === 'number') {
    return number(value);
  }
  if (typeof value === 'string') {
    return hex(value);
  }
  if (typeof value === 'boolean') {
    return value ? 't' : 'f';
  }
  if (Array.isArray(value)) {
    return `[${value.map(form).join('')}]`;
  }
  const members = Object.keys(value).map((key) => [Buffer.from(key, 'utf8'), value[key]]);
  members.sort((a, b) => Buffer.compare(a[0], b[0]));
  return `{${members.map(([key, item]) => `"${key.toString('hex')}"${form(item)}`).join('')}}`;
}

function answer(text) {
  try {
    return form(JSON.parse(decoder.decode(text)));
  } catch (error) {
    return 'refused';
  }
}

const input = fs.readFileSync(0);
const lines = [];
for (let at = 0; at < input.length;) {
  const size = input.readUInt32LE(at);
  lines.push(answer(input.subarray(at + 4, at + 4 + size)));
  at += 4 + size;
}
fs.writeFileSync(1, lines.join('\n') + '\n');
