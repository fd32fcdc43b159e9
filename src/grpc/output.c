/*
 * What a session has for its peer, in order: bytes of its own (control frames, heads of DATA, small
 * DATA), and runs of bytes that stay in their calls' buffers until the socket has taken them. A
 * piece says how many bytes and whose, not where they are, since a buffer may move between two
 * writes. A call that ends leaves its buffer behind until what has been framed of it is sent.
 */
#include "grpc_priv.h"

#include <string.h>

#define SPLICED_LEAST 4096 /* less is copied, which costs no more than a piece */

bool grpc_output_is_full(const struct grpc_output *output)
{
	/* A frame more may come: its head, its bytes, and something of our own behind it. */
	return output->size >= GRPC_OUTPUT_BYTES_MAX || output->count + 3 > GRPC_PIECES_MAX;
}

static struct grpc_piece *piece_at(struct grpc_output *output, size_t place)
{
	return &output->pieces[(output->first + place) % GRPC_PIECES_MAX];
}

static void add_piece(struct grpc_output *output, struct grpc_send *from, size_t size)
{
	struct grpc_piece *last = output->count > 0 ? piece_at(output, output->count - 1) : NULL;
	if (last && !last->from && !from) {
		last->size += size;
	} else {
		check(output->count < GRPC_PIECES_MAX);
		*piece_at(output, output->count++) = (struct grpc_piece){from, size};
	}
	output->size += size;
}

enum err grpc_output_put(struct grpc_output *output, struct bytes bytes)
{
	enum err err = grpc_send_reserve(&output->own, bytes.size);
	if (err == OK && bytes.size > 0) {
		memcpy(output->own.data + output->own.end, bytes.data, bytes.size);
		grpc_send_add(&output->own, bytes.size);
		add_piece(output, NULL, bytes.size);
	}
	return err;
}

/* Bytes can be copied only where none before them wait in the same buffer. */
enum err grpc_output_frame(
	struct grpc_output *output, struct bytes head, struct grpc_send *from, size_t size)
{
	bool is_spliced = size >= SPLICED_LEAST || from->framed > 0;
	enum err err = grpc_send_reserve(&output->own, head.size + (is_spliced ? 0 : size));
	err = err == OK ? grpc_output_put(output, head) : err;
	if (err != OK || size == 0) {
		return err;
	}
	if (is_spliced) {
		from->framed += size;
		add_piece(output, from, size);
		return OK;
	}
	err = grpc_output_put(output, (struct bytes){from->data + from->start, size});
	grpc_send_remove(from, size);
	return err;
}

size_t grpc_output_pieces(struct grpc_output *output, struct iovec *pieces, size_t most)
{
	size_t count = output->count < most ? output->count : most;
	output->own.seen = 0;
	for (size_t i = 0; i < count; i++) {
		const struct grpc_piece *piece = piece_at(output, i);
		if (piece->from) {
			piece->from->seen = 0;
		}
	}
	for (size_t i = 0; i < count; i++) {
		const struct grpc_piece *piece = piece_at(output, i);
		struct grpc_send *send = piece->from ? piece->from : &output->own;
		pieces[i] = (struct iovec){send->data + send->start + send->seen, piece->size};
		send->seen += piece->size;
	}
	return count;
}

static void take(struct grpc_output *output, struct grpc_piece *piece, size_t size)
{
	struct grpc_send *from = piece->from;
	piece->size -= size;
	output->size -= size;
	if (!from) {
		grpc_send_remove(&output->own, size);
		return;
	}
	from->framed -= size;
	grpc_send_remove(from, size);
	if (from->call) {
		grpc_call_sent(from->call);
	} else if (from->framed == 0) {
		grpc_send_free(from);
	}
}

void grpc_output_sent(struct grpc_output *output, size_t size)
{
	check(size <= output->size);
	while (size > 0) {
		struct grpc_piece *piece = piece_at(output, 0);
		size_t taken = size < piece->size ? size : piece->size;
		take(output, piece, taken);
		size -= taken;
		if (piece->size == 0) {
			output->first = (output->first + 1) % GRPC_PIECES_MAX;
			output->count--;
		}
	}
}

void grpc_output_fini(struct grpc_output *output)
{
	grpc_output_sent(output, output->size);
	grpc_send_fini(&output->own);
}
