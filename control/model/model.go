// Package model knows what Apple calls the devices whose ProductType they tell.
package model

import (
	_ "embed"
	"strings"
	"sync"
)

// table has a line for each product: ProductType, a tab, the English name with
// what tells generations apart. Only devices that have been sold are in it.
//
//go:embed products.tsv
var table string

var products = sync.OnceValue(func() map[string]string {
	m := make(map[string]string)
	for line := range strings.Lines(table) {
		product, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		m[product] = name
	}
	return m
})

// Name is the name under which a device is sold: "iPhone 13" for "iPhone14,5".
// It is empty if the product is not known.
func Name(product string) string { return products()[product] }
