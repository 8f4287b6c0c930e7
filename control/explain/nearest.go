package explain

import (
	"slices"
	"strings"
)

// maxNear is how many names Nearest gives at most.
const maxNear = 3

// Nearest lists names that a query which finds nothing may be meant for, the
// likeliest first, at most three.
func Nearest(query string) []string {
	type guess struct {
		name string
		cost int
	}
	q := []rune(fold(clip(query)))
	if len(q) < 3 || len(q) > 64 {
		return nil
	}
	var guesses []guess
	for _, e := range catalogue {
		if e.Family == FamilyUsbmuxd {
			continue // names of these are numbers
		}
		name := fold(e.Name)
		cost := distance(q, []rune(name))
		if strings.Contains(name, string(q)) {
			cost = 1 // a part of a name is most of it
		}
		if cost <= max(2, len(q)/3) {
			guesses = append(guesses, guess{e.Name, cost})
		}
	}
	slices.SortStableFunc(guesses, func(a, b guess) int { return a.cost - b.cost })
	var names []string
	for _, g := range guesses[:min(maxNear, len(guesses))] {
		names = append(names, g.name)
	}
	return names
}

// distance is how many letters must be put in, taken out or changed to make b of a.
func distance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, r := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, s := range b {
			change := diagonal
			if r != s {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
