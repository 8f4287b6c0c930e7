module gomuxd

go 1.26.0

require (
	github.com/coreos/go-systemd/v22 v22.7.0
	github.com/google/gousb v1.1.3
	github.com/smallstep/pkcs7 v0.2.1
	github.com/spf13/pflag v1.1.0
	go.uber.org/zap v1.28.0
	golang.org/x/sys v0.50.0
	howett.net/plist v1.0.1
	software.sslmate.com/src/go-pkcs12 v0.5.0
)

require (
	go.uber.org/multierr v1.10.0 // indirect
	golang.org/x/crypto v0.33.0 // indirect
)
