/*
 * What the fuzzers share. Each is one function of an input: clang's libFuzzer makes the inputs,
 * replay.c reads them from files. An input is a block of its own, so that a sanitizer sees reads
 * past its end. What must hold is check()ed, and a failure aborts.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "base.h"

/* The name is libFuzzer's; 0 always. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct bytes fuzz_text(const uint8_t *data, size_t size)
{
	return (struct bytes){(const char *)data, size};
}

#endif
