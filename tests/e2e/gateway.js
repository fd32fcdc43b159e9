#!/usr/bin/env node
// A gateway, made with @grpc/grpc-js, that subscribes as Syntrix's does and records what it gets.
// Argument, output and end are those of gateway.py.
'use strict';

const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const settings = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const proto = path.join(__dirname, '..', '..', 'proto', 'streamer.proto');
const definition = loader.loadSync(proto, {
  keepCase: true, longs: String, enums: String, defaults: true, oneofs: true,
});
const service = grpc.loadPackageDefinition(definition).syntrix.streamer.v1.StreamerService;
const client = new service(settings.address, grpc.credentials.createInsecure(), {
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
});
const call = client.Stream();
const out = fs.openSync(settings.out, 'w');
let lines = [];
let answered = 0;
let finished = false;

function fail(text) {
  console.error(text);
  process.exit(1);
}

function flush() {
  if (lines.length > 0) {
    fs.writeSync(out, lines.join(''));
    lines = [];
  }
}

function subscribeNext() {
  const subscription = settings.subscriptions[answered];
  if (subscription === undefined) {
    console.log('ready');
    return;
  }
  call.write({
    subscribe: {
      subscription_id: subscription.id,
      collection: subscription.collection,
      database: subscription.database,
      filters: subscription.filters || [],
    },
  });
}

function onAnswer(answer) {
  const subscription = settings.subscriptions[answered];
  if (!answer.success || answer.subscription_id !== subscription.id) {
    fail(JSON.stringify(subscription) + ': ' + JSON.stringify(answer));
  }
  answered += 1;
  subscribeNext();
}

function onDelivery(delivery) {
  const event = delivery.event;
  lines.push(JSON.stringify({
    event_id: event.event_id,
    ids: delivery.subscription_ids,
    database: event.database,
    collection: event.collection,
    document_id: event.document_id,
    operation: event.operation.replace('OPERATION_TYPE_', ''),
    timestamp: Number(event.timestamp),
    document_data: event.document_data.toString('utf8'),
  }) + '\n');
  if (lines.length >= 100) {
    flush();
  }
  if (event.event_id === settings.last_event) {
    finished = true;
    flush();
    fs.closeSync(out);
    call.end();
    client.close();
    process.exit(0);
  }
}

call.on('data', (message) => {
  if (finished) {
    return;
  }
  if (message.payload === 'delivery') {
    onDelivery(message.delivery);
  } else if (message.payload === 'subscribe_response' && answered < settings.subscriptions.length) {
    onAnswer(message.subscribe_response);
  } else {
    fail('not asked for: ' + JSON.stringify(message));
  }
});
call.on('error', (error) => fail(String(error)));
call.on('end', () => {
  if (!finished) {
    fail('the stream ended before the last event');
  }
});
subscribeNext();
