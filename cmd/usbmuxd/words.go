package main

import (
	"gomuxd/control"
	"gomuxd/control/explain"
	"gomuxd/control/model"
	"gomuxd/lockdown/trust"
)

func modelName(product string) string { return model.Name(product) }

// words says in plain words why a device is in its state and what helps.
func words(d control.Device) (reason, next string) {
	f := explain.Facts{Name: d.Name, Class: d.Class, Version: d.Version, Cause: d.Cause}
	if d.ExpiresInDays != nil {
		f.Days = *d.ExpiresInDays
	}
	return explain.State(trust.State(d.Trust), f)
}
