#!/usr/bin/env node
// A gateway's stream, made with @grpc/grpc-js, driven by node_stream.py: GatewayMessages come as
// lines of JSON on stdin, what the Streamer sends goes out as lines {"message"} on stdout, and at
// last {"status"}. The end of stdin cancels it.
'use strict';

const path = require('path');
const readline = require('readline');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const proto = path.join(__dirname, '..', '..', 'proto', 'streamer.proto');
const definition = loader.loadSync(proto, {
  keepCase: true, longs: String, enums: String, bytes: String,
});
const service = grpc.loadPackageDefinition(definition).syntrix.streamer.v1.StreamerService;
const client = new service(process.argv[2], grpc.credentials.createInsecure());
const call = client.Stream();

function write(item) {
  process.stdout.write(JSON.stringify(item) + '\n');
}

call.on('data', (message) => write({ message }));
call.on('status', (status) => write({ status: grpc.status[status.code] }));
call.on('error', () => {}); // the status says it

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => call.write(JSON.parse(line)));
lines.on('close', () => {
  call.cancel();
  client.close();
});
