// @bufbuild/cel as our CEL's peer: of every line on stdin, a JSON object with `expression` and
// `typed` (the document; numbers are written ["i", "1"], ["u", "1"], ["d", "1.5"], lists
// ["l", [...]], maps ["m", [[key, value], ...]]), one line in cel_peer.c's form.
'use strict';

const fs = require('fs');
const cel = require('@bufbuild/cel');
const { strings } = require('@bufbuild/cel/ext');

const bits = new DataView(new ArrayBuffer(8));
const env = cel.celEnv({ funcs: strings });

const readers = {
  i: (text) => BigInt(text),
  u: (text) => cel.celUint(BigInt(text)),
  d: (text) => Number(text),
  l: (items) => cel.celList(items.map(read)),
  m: (entries) => cel.celMap(new Map(entries.map(([key, value]) => [key, read(value)]))),
};

function read(typed) {
  return Array.isArray(typed) ? readers[typed[0]](typed[1]) : typed;
}

function hex(kind, content) {
  return `${kind}${Buffer.from(content).toString('hex')},`;
}

function number(real) {
  if (Number.isNaN(real)) {
    return 'dNaN,';
  }
  bits.setFloat64(0, real);
  return `d${bits.getBigUint64(0).toString(16).padStart(16, '0')},`;
}

function message(value) {
  const { seconds, nanos } = value.message;
  if (value.desc.typeName === 'google.protobuf.Timestamp') {
    return `T${seconds}:${String(nanos).padStart(9, '0')},`;
  }
  return `D${seconds * 1000000000n + BigInt(nanos)},`;
}

function object(value) {
  if (cel.isCelUint(value)) {
    return `u${value.value},`;
  }
  if (value instanceof Uint8Array) {
    return hex('b', value);
  }
  if (cel.isCelList(value)) {
    return `[${[...value].map(form).join('')}]`;
  }
  if (cel.isCelMap(value)) {
    return `{${[...value].map(([key, item]) => form(key) + form(item)).join('')}}`;
  }
  return cel.isCelType(value) ? `${value.name},` : message(value);
}

function form(value) {
  switch (typeof value) {
    case 'boolean': return value ? 't,' : 'f,';
    case 'bigint': return `i${value},`;
    case 'number': return number(value);
    case 'string': return hex('s', value);
    default: return value === null ? 'n,' : object(value);
  }
}

function answer(line) {
  const { expression, typed } = JSON.parse(line);
  let parsed;
  try {
    parsed = cel.parse(expression);
  } catch (error) {
    return 'refused';
  }
  try {
    const value = cel.plan(env, parsed)({ doc: read(typed) });
    return cel.isCelError(value) ? 'error' : form(value);
  } catch (error) {
    return 'error';
  }
}

const lines = fs.readFileSync(0, 'utf8').split('\n').filter((line) => line);
fs.writeFileSync(1, lines.map(answer).join('\n') + '\n');
