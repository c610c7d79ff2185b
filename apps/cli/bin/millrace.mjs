#!/usr/bin/env node
// Starts the bundle that `npm ci` builds. Plain JavaScript, since it has to tell users of an old Node what is wrong.
import { existsSync } from 'node:fs'
// Not by name: an old Node lacks it, and would fail to link before it could say so below.
import nodeModule from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`millrace needs Node 22.18 or newer; this is Node ${process.versions.node} (${process.execPath}).`)
  process.exit(1)
}
const bundle = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist', 'millrace.js')
if (!existsSync(bundle)) {
  console.error(`millrace is not built: ${bundle} is missing. Run "npm ci" (or "npm run prepare") in the workspace.`)
  process.exit(1)
}
// Compiled code is kept beside the bundle: it halves the time to the first request.
nodeModule.enableCompileCache(join(dirname(bundle), 'compile-cache'))
await import(pathToFileURL(bundle).href)
