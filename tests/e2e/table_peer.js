#!/usr/bin/env node
// A gateway made with @grpc/grpc-js, driven by test_table.py: commands are lines of JSON on stdin,
// what the Streamer sends goes out as lines of JSON on stdout. The end of stdin ends it.
'use strict';

const path = require('path');
const readline = require('readline');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const proto = path.join(__dirname, '..', '..', 'proto', 'streamer.proto');
const definition = loader.loadSync(proto, {
  keepCase: true, longs: String, enums: String, defaults: true, oneofs: true,
});
const service = grpc.loadPackageDefinition(definition).syntrix.streamer.v1.StreamerService;
const method = service.service.Stream;
const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure(), {
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
});
const calls = new Map();

function write(item) {
  process.stdout.write(JSON.stringify(item) + '\n');
}

// Bytes go as they are, objects as the message that they describe.
function serialize(message) {
  return Buffer.isBuffer(message) ? message : method.requestSerialize(message);
}

function deliveryItem(delivery) {
  const event = delivery.event;
  return {
    item: 'delivery',
    ids: delivery.subscription_ids,
    event_id: event.event_id,
    database: event.database,
    collection: event.collection,
    document_id: event.document_id,
    operation: event.operation.replace('OPERATION_TYPE_', ''),
    timestamp: Number(event.timestamp),
    document_data: event.document_data.toString('utf8'),
  };
}

function answerItem(answer) {
  return {
    item: 'answer', id: answer.subscription_id, success: answer.success, error: answer.error,
  };
}

function itemOf(message) {
  switch (message.payload) {
    case 'delivery':
      return deliveryItem(message.delivery);
    case 'subscribe_response':
      return answerItem(message.subscribe_response);
    case 'heartbeat_ack':
      return { item: 'ack', timestamp: Number(message.heartbeat_ack.timestamp) };
    default:
      return { item: 'unknown' };
  }
}

function open(stream) {
  const call = client.makeBidiStreamRequest(
    method.path, serialize, method.responseDeserialize, new grpc.Metadata(), {});
  call.on('data', (message) => write({ stream, ...itemOf(message) }));
  call.on('status', (status) => write({ stream, item: 'end', status: grpc.status[status.code] }));
  call.on('error', () => {}); // the status says it
  calls.set(stream, call);
}

function callMethod(stream, name) {
  const bytes = (buffer) => buffer;
  client.makeUnaryRequest(name, bytes, bytes, Buffer.alloc(0), (error) => {
    write({ stream, item: 'end', status: grpc.status[error ? error.code : 0] });
  });
}

function carryOut(command) {
  const call = calls.get(command.stream);
  switch (command.do) {
    case 'open':
      open(command.stream);
      break;
    case 'send':
      call.write('hex' in command ? Buffer.from(command.hex, 'hex') : command.message);
      break;
    case 'half_close':
      call.end();
      break;
    case 'close':
      call.cancel();
      calls.delete(command.stream);
      break;
    case 'method':
      callMethod(command.stream, command.method);
      break;
    default:
      throw new Error('no such command: ' + command.do);
  }
}

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => carryOut(JSON.parse(line)));
lines.on('close', () => process.exit(0));
