module streamer/bench/peers/quamina

go 1.23

require (
	quamina.net/go/quamina/v2 v2.0.2
	streamer/bench/peers/match-go v0.0.0
)

replace streamer/bench/peers/match-go => ../match-go
