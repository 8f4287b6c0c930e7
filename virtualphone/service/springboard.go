package service

import (
	"bytes"
	"context"
	"hash/fnv"
	"image"
	"image/color"
	"image/png"
	"net"
	"slices"
)

// iconSize is the width and height of an icon in pixels.
const iconSize = 60

// springBoardRequest is what the host asks of the home screen.
type springBoardRequest struct {
	Command  string `plist:"command"`
	BundleID string `plist:"bundleId,omitempty"`
}

// SpringBoard serves com.apple.springboardservices: the icons of apps, their order and
// the direction of the screen. Other commands, and applications it does not know, are
// answered with an error.
//
// Source: the sbservices.h API page of libimobiledevice.
func SpringBoard(apps []App) Handler {
	return func(ctx context.Context, c net.Conn) {
		defer bind(ctx, c)()
		for {
			var m springBoardRequest
			inBinary, err := ReadPlist(c, &m)
			if err != nil {
				return
			}
			if WritePlist(c, answerSpringBoard(apps, &m), inBinary) != nil {
				return
			}
		}
	}
}

func answerSpringBoard(apps []App, m *springBoardRequest) any {
	switch m.Command {
	case "getIconPNGData":
		if slices.ContainsFunc(apps, func(a App) bool { return a.ID == m.BundleID }) {
			return map[string]any{"pngData": icon(m.BundleID)}
		}
	case "getIconState":
		var page []any
		for _, a := range apps {
			page = append(page, map[string]any{"bundleIdentifier": a.ID, "displayIdentifier": a.ID, "displayName": a.Name})
		}
		return []any{[]any{}, page} // the dock, then the pages
	case "getInterfaceOrientation":
		return map[string]any{"interfaceOrientation": 1}
	}
	return map[string]any{"Error": "UnknownRequest"}
}

// icon is a plain square whose colour depends on the name.
func icon(name string) []byte {
	h := fnv.New32a()
	h.Write([]byte(name)) // never fails
	sum := h.Sum32()
	img := image.NewPaletted(image.Rect(0, 0, iconSize, iconSize), color.Palette{
		color.RGBA{R: uint8(sum), G: uint8(sum >> 8), B: uint8(sum >> 16), A: 0xff},
	})
	var b bytes.Buffer
	// Writing to memory does not fail, and the size is one that PNG has.
	_ = png.Encode(&b, img)
	return b.Bytes()
}
