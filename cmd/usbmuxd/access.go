package main

import (
	"slices"
	"strconv"

	"go.uber.org/zap"

	"gomuxd/access"
)

// accessPolicy is what clients may do: the rules that are set, then a profile's.
func (s *settings) accessPolicy() (*access.Policy, error) {
	rules := slices.Clone(s.Access.Rules)
	if group := s.Control.Group; group != access.Group {
		who := "group:" + group
		if _, err := strconv.ParseUint(group, 10, 32); err == nil {
			who = "gid:" + group
		}
		rules = append(rules, access.Rule{Who: []string{who}, May: []string{access.Operate.String(), access.Mend.String()}})
	}
	return access.NewPolicy(rules, s.Access.Profile)
}

// setAccess puts what clients may do into force.
func (d *muxd) setAccess(s *settings) error {
	policy, err := s.accessPolicy()
	if err != nil {
		return err
	}
	d.rules.Set(policy)
	for _, who := range policy.Missing() {
		d.log.Warn("a rule names somebody whom this computer does not have", zap.String("who", who))
	}
	return nil
}

// gate is what is behind a listening socket.
func (d *muxd) gate(socket string) *access.Gate {
	return &access.Gate{Rules: &d.rules, Socket: socket}
}
