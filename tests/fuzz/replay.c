/*
 * Runs a fuzzer over the files given, and over the files of the folders given: the inputs kept in
 * corpus/ are tests without clang's libFuzzer too. Fails if there was none.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_SIZE_MAX 1048576

static bool replay_file(const char *path)
{
	static char data[INPUT_SIZE_MAX];
	FILE *file = fopen(path, "rb");
	size_t size = file ? fread(data, 1, sizeof(data), file) : 0;
	bool is_read = file && !ferror(file) && size < sizeof(data);
	if (file) {
		(void)fclose(file);
	}
	uint8_t *copy = is_read ? malloc(size > 0 ? size : 1) : NULL;
	if (!copy) {
		(void)fprintf(stderr, "%s: cannot be read\n", path);
		return false;
	}
	memcpy(copy, data, size);
	/* A failure aborts, and then this line has said on what. */
	(void)fprintf(stderr, "%s\n", path);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	return true;
}

static size_t replay_folder(const char *path)
{
	size_t count = 0;
	DIR *folder = opendir(path);
	const struct dirent *entry;
	while (folder && (entry = readdir(folder))) {
		char file[4096];
		(void)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		count += entry->d_name[0] != '.' && replay_file(file);
	}
	if (folder) {
		(void)closedir(folder);
	}
	return count;
}

int main(int argc, char **argv)
{
	size_t count = 0;
	for (int i = 1; i < argc; i++) {
		struct stat stat_of;
		bool is_folder = stat(argv[i], &stat_of) == 0 && S_ISDIR(stat_of.st_mode);
		count += is_folder ? replay_folder(argv[i]) : replay_file(argv[i]);
	}
	(void)printf("%zu inputs\n", count);
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
