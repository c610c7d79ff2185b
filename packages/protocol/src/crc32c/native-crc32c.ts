import { createRequire } from 'node:module'

/** Continues the CRC-32C `state` (0 to begin) over all bytes of `input`. */
export type Crc32cFunction = (input: Uint8Array, state: number) => number

const require = createRequire(import.meta.url)

let loaded: Crc32cFunction | null | undefined

/**
 * The SSE 4.2 / ARMv8 implementation of `@node-rs/crc32`, or null where the platform has no prebuilt binary (callers then use
 * the table version, about four times slower on large ranges). Loading maps a shared library, 4–20 ms, so it waits for the
 * first call; a browser build replaces this module by one that always answers null.
 */
export function nativeCrc32c(): Crc32cFunction | null {
  if (loaded === undefined) loaded = load()
  return loaded
}

function load(): Crc32cFunction | null {
  try {
    const binding = require('@node-rs/crc32') as { crc32c: Crc32cFunction }
    return binding.crc32c
  } catch {
    return null // no binary for this platform: the table version gives the same values
  }
}
