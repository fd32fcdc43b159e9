// The server of `streamer bench delivery --server PROGRAM` on grpc-go. It is given what it needs to
// be fast: an event is encoded before anybody asks, and copied once for each stream, which is the
// least that ids of the stream's own take; each stream has a goroutine that only sends; and writes
// are as large as the Streamer's.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

const (
	events           = 1024 // distinct ones, as the Streamer has
	writeBufferBytes = 256 << 10
)

// raw passes encoded messages on.
type raw struct{}

func (raw) Marshal(value any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(value.([]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, value any) error {
	*value.(*[]byte) = data.Materialize()
	return nil
}

func (raw) Name() string { return "raw" }

func serve() error {
	flags := flag.NewFlagSet("grpc-go", flag.ContinueOnError)
	flags.Bool("serve", true, "")
	flags.Int("streams", 1, "those that will come; not used")
	size := flags.Int("message-bytes", 400, "of each message")
	if len(os.Args) < 3 {
		return fmt.Errorf("usage: grpc-go bench delivery --serve --streams N --message-bytes B")
	}
	if err := flags.Parse(os.Args[3:]); err != nil {
		return err
	}
	encoded := make([][]byte, events)
	for i := range encoded {
		encoded[i] = make([]byte, *size)
		for at := range encoded[i] {
			encoded[i][at] = byte('a' + i%26)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(raw{}),
		grpc.WriteBufferSize(writeBufferBytes), grpc.SharedWriteBuffer(true),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			for i := 0; ; i = (i + 1) % events {
				if err := stream.SendMsg(bytes.Clone(encoded[i])); err != nil {
					return err
				}
			}
		}))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		server.Stop()
	}()
	fmt.Fprintf(os.Stderr, "grpc-go: listening on %s\n", listener.Addr())
	return server.Serve(listener)
}

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "grpc-go:", err)
		os.Exit(1)
	}
}
