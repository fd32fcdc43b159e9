module streamer/bench/peers/match-go

go 1.23
