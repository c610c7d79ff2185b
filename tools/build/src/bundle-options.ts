import type { BuildOptions } from 'esbuild'

/**
 * Packages that carry machine code. They load `.node` files by their own path, so they stay outside bundles and are dependencies
 * of whatever is published.
 */
export const nativePackages = ['@node-rs/crc32', 'koffi', 'lmdb', 'lz4-napi', 'snappy'] as const

/**
 * What every bundle for Node shares. CommonJS packages inside an ES module still ask for `require`, `__dirname` and `__filename`:
 * the first comes from the banner, the others from Node's own `import.meta`.
 */
export const nodeBundle = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node22.18',
  conditions: ['node', 'import'],
  sourcemap: 'linked',
  legalComments: 'linked',
  logLevel: 'warning',
  write: false,
  banner: { js: "import { createRequire as $require } from 'node:module'\nconst require = $require(import.meta.url)" },
  define: { __dirname: 'import.meta.dirname', __filename: 'import.meta.filename' },
} satisfies BuildOptions
