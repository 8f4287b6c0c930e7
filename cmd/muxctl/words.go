package main

import (
	"gomuxd/control"
	"gomuxd/control/explain"
	"gomuxd/control/model"
	"gomuxd/lockdown/trust"
)

// The texts of the daemon, the doctor and muxctl are one catalogue.

// inWords adds a reason and a next step to a device whose daemon gives none.
func inWords(d control.Device) control.Device {
	if d.Trust != "" && d.Reason == "" && d.NextStep == "" {
		f := explain.Facts{Name: d.Name, Class: d.Class, Version: d.Version, Cause: d.Cause}
		if d.ExpiresInDays != nil {
			f.Days = *d.ExpiresInDays
		}
		d.Reason, d.NextStep = explain.State(trust.State(d.Trust), f)
	}
	if d.Model == "" {
		d.Model = model.Name(d.Product)
	}
	return d
}

func lookUp(query string) []explanation {
	var all []explanation
	for _, e := range explain.Lookup(query) {
		all = append(all, explanation{Name: e.Name, Codes: e.Codes, Family: e.Family, Meaning: e.Meaning, Remedy: e.Remedy})
	}
	return all
}

func nearest(query string) []string { return explain.Nearest(query) }
