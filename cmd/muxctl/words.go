package main

import (
	"gomuxd/control/explain"
	"gomuxd/control/model"
)

// lookUp asks the catalogue of texts that the daemon and the doctor use, too.
func lookUp(query string) []explanation {
	var all []explanation
	for _, e := range explain.Lookup(query) {
		all = append(all, explanation{Name: e.Name, Codes: e.Codes, Family: e.Family, Meaning: e.Meaning, Remedy: e.Remedy})
	}
	return all
}

func nearest(query string) []string { return explain.Nearest(query) }

func modelName(product string) string { return model.Name(product) }
