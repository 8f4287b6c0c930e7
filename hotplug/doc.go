// Package hotplug reports Apple devices that are plugged in and pulled out.
package hotplug
