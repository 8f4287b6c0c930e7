package main

import (
	"strconv"

	"gomuxd/access"
)

// accessPolicy is what clients may do: the options' rules, then a profile's.
func (o *options) accessPolicy() (*access.Policy, error) {
	var rules []access.Rule
	if o.group != "" && o.group != access.Group {
		who := "group:" + o.group
		if _, err := strconv.ParseUint(o.group, 10, 32); err == nil {
			who = "gid:" + o.group
		}
		rules = append(rules, access.Rule{Who: []string{who}, May: []string{access.Operate.String()}})
	}
	return access.NewPolicy(rules, access.DefaultProfile)
}

// gate is what is behind a listening socket.
func (d *muxd) gate(socket string) *access.Gate {
	return &access.Gate{Rules: &d.rules, Socket: socket}
}
