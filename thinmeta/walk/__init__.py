"""Structure: trees and space maps as arrays, each block checked before it is believed."""
