package model

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var form = regexp.MustCompile(`^(iPhone|iPad|iPod|Watch|AppleTV|AudioAccessory|RealityDevice)([1-9][0-9]?),([1-9][0-9]?)\t([A-Z]|i)[A-Za-z0-9 .()-]*[A-Za-z0-9)]\n$`)

// TestTable holds every line to its form and to the order: no product can be
// there twice.
func TestTable(t *testing.T) {
	var family string
	var major, minor int
	seen := make(map[string]bool)
	for line := range strings.Lines(table) {
		m := form.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("malformed line %q", line)
			continue
		}
		a, _ := strconv.Atoi(m[2]) // of digits
		b, _ := strconv.Atoi(m[3])
		switch {
		case m[1] != family:
			if seen[m[1]] {
				t.Errorf("%q is not with its family", line)
			}
		case a < major || a == major && b <= minor:
			t.Errorf("%q is out of order or there twice", line)
		}
		family, major, minor = m[1], a, b
		seen[family] = true
		if strings.Contains(line, "  ") {
			t.Errorf("two spaces in %q", line)
		}
		product, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if got := Name(product); got != name {
			t.Errorf("Name(%q) = %q, want %q", product, got, name)
		}
		for prefix, brand := range map[string]string{"iPhone": "iPhone", "iPad": "iPad", "iPod": "iPod touch", "Watch": "Apple Watch", "AppleTV": "Apple TV", "AudioAccessory": "HomePod", "RealityDevice": "Apple Vision"} {
			if m[1] == prefix && !strings.HasPrefix(name, brand) {
				t.Errorf("%q is no name of its family", line)
			}
		}
	}
	if len(products()) != strings.Count(table, "\n") || len(seen) != 7 {
		t.Errorf("%d products of %d families in %d lines", len(products()), len(seen), strings.Count(table, "\n"))
	}
}

func TestName(t *testing.T) {
	for product, want := range map[string]string{
		"iPhone1,1":         "iPhone",
		"iPhone8,4":         "iPhone SE (1st generation)",
		"iPhone10,6":        "iPhone X",
		"iPhone14,5":        "iPhone 13",
		"iPhone14,7":        "iPhone 14",
		"iPhone17,5":        "iPhone 16e",
		"iPhone18,4":        "iPhone Air",
		"iPad2,5":           "iPad mini",
		"iPad8,11":          "iPad Pro 12.9-inch (4th generation)",
		"iPad13,18":         "iPad (10th generation)",
		"iPad16,3":          "iPad Pro 11-inch (M4)",
		"iPod9,1":           "iPod touch (7th generation)",
		"Watch6,18":         "Apple Watch Ultra",
		"Watch7,5":          "Apple Watch Ultra 2",
		"AppleTV5,3":        "Apple TV HD",
		"AudioAccessory5,1": "HomePod mini",
		"RealityDevice14,1": "Apple Vision Pro",

		"":                      "",
		"iPhone":                "",
		"iPhone14":              "",
		"iphone14,5":            "",
		"iPhone99,1":            "",
		"iPhone14,5\tiPhone 13": "",
	} {
		if got := Name(product); got != want {
			t.Errorf("Name(%q) = %q, want %q", product, got, want)
		}
	}
}
