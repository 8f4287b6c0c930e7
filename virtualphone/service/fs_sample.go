package service

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"sync"
)

// samplePictures is how many pictures a new phone has.
const samplePictures = 3

// NewFS returns a file system with a few pictures and texts, as a phone in use has
// them.
func NewFS() *FS {
	f := emptyFS(fsCapacity)
	for _, dir := range []string{"Books", "DCIM/100APPLE", "Downloads", "iTunes_Control/iTunes", "Photos", "Recordings"} {
		f.mustSample(f.Mkdir(dir))
	}
	for i, picture := range pictures() {
		f.mustSample(f.WriteFile(fmt.Sprintf("DCIM/100APPLE/IMG_%04d.JPG", i+1), picture))
	}
	f.mustSample(f.WriteFile("Downloads/Read me.txt", []byte("This file lives on a virtual iPhone.\n")))
	f.mustSample(f.WriteFile("Books/Numbers.txt", numbers()))
	return f
}

// mustSample ends the program if the sample content does not fit: a mistake here.
func (f *FS) mustSample(err error) {
	if err != nil {
		panic("service: sample content: " + err.Error())
	}
}

// numbers returns a text of some pages.
func numbers() []byte {
	var b bytes.Buffer
	for i := range 2000 {
		fmt.Fprintf(&b, "%d, %d, %d.\n", 3*i+1, 3*i+2, 3*i+3)
	}
	return b.Bytes()
}

// pictures returns the sample pictures, which are encoded once. The caller must not
// change them.
var pictures = sync.OnceValue(func() (all [][]byte) {
	for i := range samplePictures {
		m := image.NewRGBA(image.Rect(0, 0, 640, 480))
		for y := range 480 {
			for x := range 640 {
				m.SetRGBA(x, y, color.RGBA{uint8(x * 255 / 640), uint8(y * 255 / 480), uint8(80 * i), 255})
			}
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, m, nil); err != nil {
			panic("service: encode picture: " + err.Error()) // writing to memory
		}
		all = append(all, b.Bytes())
	}
	return all
})
