/*
 * The library as a C++ program sees it: the header compiles as C++17 with all warnings, its names
 * link, and an engine, a stream, a refusal and a delivery work.
 */
#include <streamer.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

namespace
{

void must(bool holds, std::string_view what)
{
	if (!holds) {
		std::cerr << "FAILED: " << what << '\n';
		std::exit(1);
	}
}

struct close_engine {
	void operator()(streamer *engine) const
	{
		streamer_close(engine);
	}
};

struct close_stream {
	void operator()(streamer_stream *stream) const
	{
		streamer_stream_close(stream);
	}
};

using engine_owner = std::unique_ptr<streamer, close_engine>;
using stream_owner = std::unique_ptr<streamer_stream, close_stream>;

std::string_view text(const streamer_bytes &bytes)
{
	return bytes.size > 0 ? std::string_view(bytes.data, bytes.size) : std::string_view();
}

engine_owner open_engine()
{
	streamer_options options{};
	streamer_options_init(&options);
	options.log_fd = -1;
	streamer_failure failure{};
	must(streamer_options_set(&options, "no_such_limit", "1", &failure) == STREAMER_NOT_FOUND,
		"an unknown limit");
	must(failure.text[0] != '\0', "a failure says what was wrong");
	streamer *engine = nullptr;
	must(streamer_open(&options, &failure, &engine) == STREAMER_OK, failure.text);
	return engine_owner(engine);
}

stream_owner open_stream(streamer *engine)
{
	streamer_stream *stream = nullptr;
	must(streamer_stream_open(engine, &stream) == STREAMER_OK, "a stream");
	return stream_owner(stream);
}

streamer_item next(streamer_stream *stream)
{
	streamer_item item{};
	must(streamer_wait(stream, 30000, &item) == STREAMER_OK, "an item");
	return item;
}

/* Subscribes to users by one filter; what came of it is the item. */
streamer_item subscribe(streamer_stream *stream, const char *id, const streamer_filter &filter)
{
	streamer_subscription subscription{};
	subscription.id = id;
	subscription.database = "default";
	subscription.collection = "users";
	subscription.filters = &filter;
	subscription.filters_count = 1;
	streamer_failure failure{};
	must(streamer_subscribe(stream, &subscription, &failure, nullptr) == STREAMER_OK,
		failure.text);
	const streamer_item item = next(stream);
	must(item.kind == STREAMER_ANSWER && text(item.subscription_id) == id, "an answer");
	return item;
}

streamer_filter age(const char *op, const char *value)
{
	streamer_filter filter{};
	filter.field = "age";
	filter.op = op;
	filter.value = value;
	return filter;
}

void push(streamer *engine, int number)
{
	const std::string change =
		R"({"op":"insert","database":"default","collection":"users","id":"u)" +
		std::to_string(number) + R"(","data":{"age":)" + std::to_string(number) + "}}";
	streamer_failure failure{};
	must(streamer_push(engine, change.data(), change.size(), &failure) == STREAMER_OK,
		failure.text);
}

} // namespace

int main()
{
	const engine_owner engine = open_engine();
	const stream_owner stream = open_stream(engine.get());
	const streamer_item refused = subscribe(stream.get(), "bad", age("eq", "18"));
	must(!refused.accepted && !text(refused.text).empty(), "a refusal says why");
	must(subscribe(stream.get(), "adult", age(">", "18")).accepted, "accepted");
	push(engine.get(), 7);
	push(engine.get(), 30);
	const streamer_item item = next(stream.get());
	must(item.kind == STREAMER_DELIVERY && item.operation == STREAMER_INSERT, "a delivery");
	must(item.subscription_ids_count == 1 && text(item.subscription_ids[0]) == "adult",
		"its subscription");
	must(text(item.document_id) == "u30" && text(item.collection) == "users", "its document");
	must(text(item.document).find("\"age\":30") != std::string_view::npos, "its data");
	must(streamer_push(engine.get(), "{}", 2, nullptr) == STREAMER_INVALID, "no change");
	struct streamer_status status = {};
	streamer_status(engine.get(), &status);
	must(status.source == STREAMER_SOURCE_LIVE && status.events == 2, "two changes");
	return 0;
}
