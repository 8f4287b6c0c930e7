package service

// FS is the in-memory file system of the phone's media partition.
type FS struct{}

// NewFS returns a file system with sample content.
func NewFS() *FS { return &FS{} }

// AFC serves fs.
func AFC(fs *FS) Handler { return Discard() }
