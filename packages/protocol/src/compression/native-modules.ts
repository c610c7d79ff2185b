import { createRequire } from 'node:module'

// Everything here is loaded at first use: a broker that never sees a codec does not pay 5–20 ms for its library at start-up.
// A browser build replaces this module by one whose functions all answer null (and brings its own gzip and zstd codecs).

/** Node's zlib, with gzip and zstd. */
export type Zlib = typeof import('node:zlib')

/** The raw block functions of `snappy`. They allocate by the size that the data declares: check it before. */
export interface NativeSnappy {
  compressSync(input: Uint8Array, options: { copyOutputData: boolean }): Buffer
  uncompressSync(input: Uint8Array, options: { copyOutputData: boolean }): Buffer
  compress(input: Uint8Array, options: { copyOutputData: boolean }): Promise<Buffer>
  uncompress(input: Uint8Array, options: { copyOutputData: boolean }): Promise<Buffer>
}

/** The block functions of `lz4-napi`. Compressed data has its expanded size, little-endian, in four bytes before it. */
export interface NativeLz4 {
  compressSync(input: Uint8Array): Buffer
  uncompressSync(input: Uint8Array): Buffer
  compress(input: Uint8Array): Promise<Buffer>
  uncompress(input: Uint8Array): Promise<Buffer>
}

const require = createRequire(import.meta.url)

let zlib: Zlib | undefined
let snappy: NativeSnappy | null | undefined
let lz4: NativeLz4 | null | undefined

/** Node's zlib. */
export function loadZlib(): Zlib {
  zlib ??= require('node:zlib') as Zlib
  return zlib
}

/** The native snappy, or null where the platform has no prebuilt binary. */
export function loadNativeSnappy(): NativeSnappy | null {
  if (snappy === undefined) snappy = optional(() => require('snappy') as NativeSnappy)
  return snappy
}

/** The native lz4, or null where the platform has no prebuilt binary. */
export function loadNativeLz4(): NativeLz4 | null {
  if (lz4 === undefined) lz4 = optional(() => require('lz4-napi') as NativeLz4)
  return lz4
}

function optional<T>(load: () => T): T | null {
  try {
    return load()
  } catch {
    return null // no binary for this platform: our own version does the same, slower
  }
}
