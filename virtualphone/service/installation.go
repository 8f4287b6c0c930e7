package service

import (
	"context"
	"net"
	"slices"
)

// App is an application on the phone.
type App struct {
	ID, Name, Version string
	System            bool // came with iOS
}

// SampleApps are the applications of a phone nobody has installed anything on but a
// little.
var SampleApps = []App{
	{ID: "com.apple.Preferences", Name: "Settings", Version: "1.0", System: true},
	{ID: "com.apple.mobileslideshow", Name: "Photos", Version: "1.0", System: true},
	{ID: "org.example.notes", Name: "Example Notes", Version: "2.4.1"},
	{ID: "org.example.metro", Name: "Metro Map", Version: "7.0"},
}

// installationRequest is what the host asks the installation proxy.
type installationRequest struct {
	Command       string              `plist:"Command"`
	ClientOptions installationOptions `plist:"ClientOptions,omitempty"`
}

type installationOptions struct {
	ApplicationType  string   `plist:"ApplicationType,omitempty"` // Any, System, User; "" = User
	ReturnAttributes []string `plist:"ReturnAttributes,omitempty"`
	BundleIDs        []string `plist:"BundleIDs,omitempty"`
}

// Installation serves com.apple.mobile.installation_proxy: Browse, in two pieces if
// there is enough, and Lookup. Whatever changes applications is refused.
//
// Source: the installation_proxy.h API page of libimobiledevice.
func Installation(apps []App) Handler {
	return func(ctx context.Context, c net.Conn) {
		defer bind(ctx, c)()
		for {
			var m installationRequest
			inBinary, err := ReadPlist(c, &m)
			if err != nil {
				return
			}
			for _, a := range answerInstallation(apps, &m) {
				if WritePlist(c, a, inBinary) != nil {
					return
				}
			}
		}
	}
}

func answerInstallation(apps []App, m *installationRequest) []map[string]any {
	o := &m.ClientOptions
	complete := map[string]any{"Status": "Complete"}
	switch m.Command {
	case "Browse":
		var found []any
		for _, a := range apps {
			if o.wants(a) {
				found = append(found, a.attributes(o.ReturnAttributes))
			}
		}
		var answers []map[string]any
		for piece := range slices.Chunk(found, (len(found)+1)/2+1) {
			answers = append(answers, map[string]any{
				"Status": "BrowsingApplications", "CurrentAmount": len(piece), "CurrentList": piece, "Total": len(found),
			})
		}
		return append(answers, complete)
	case "Lookup":
		result := make(map[string]any)
		for _, a := range apps {
			if len(o.BundleIDs) == 0 && o.wants(a) || slices.Contains(o.BundleIDs, a.ID) {
				result[a.ID] = a.attributes(o.ReturnAttributes)
			}
		}
		complete["LookupResult"] = result
		return []map[string]any{complete}
	}
	return []map[string]any{{"Error": "APIInternalError", "ErrorDescription": "this phone does not do that"}}
}

func (o *installationOptions) wants(a App) bool {
	switch o.ApplicationType {
	case "Any":
		return true
	case "System":
		return a.System
	}
	return !a.System
}

// attributes are those a host wants, all if it names none.
func (a App) attributes(wanted []string) map[string]any {
	kind := "User"
	if a.System {
		kind = "System"
	}
	all := map[string]any{
		"ApplicationType":            kind,
		"CFBundleDisplayName":        a.Name,
		"CFBundleExecutable":         a.Name,
		"CFBundleIdentifier":         a.ID,
		"CFBundleName":               a.Name,
		"CFBundleShortVersionString": a.Version,
		"CFBundleVersion":            a.Version,
		"Path":                       "/private/var/containers/Bundle/Application/" + a.ID + "/" + a.Name + ".app",
	}
	if !a.System {
		// Made up; hosts keep both for a restore and look at neither.
		all["ApplicationSINF"] = []byte(a.ID)
		all["iTunesMetadata"] = []byte(a.Name)
	}
	if len(wanted) == 0 {
		return all
	}
	some := make(map[string]any, len(all))
	for _, key := range wanted {
		if v, ok := all[key]; ok {
			some[key] = v
		}
	}
	return some
}
