// quamina matches events against patterns. See ../match-go.
package main

import (
	"quamina.net/go/quamina/v2"

	match "streamer/bench/peers/match-go"
)

type patterns struct {
	machine *quamina.Quamina
}

func (p *patterns) Add(id, pattern string) error {
	if p.machine == nil {
		machine, err := quamina.New()
		if err != nil {
			return err
		}
		p.machine = machine
	}
	return p.machine.AddPattern(id, pattern)
}

func (p *patterns) Match(document []byte) ([]string, error) {
	found, err := p.machine.MatchesForEvent(document)
	matched := make([]string, len(found))
	for i, id := range found {
		matched[i] = id.(string)
	}
	return matched, err
}

func main() {
	match.Main(&patterns{})
}
