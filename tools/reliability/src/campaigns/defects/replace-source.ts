import { registerHooks } from 'node:module'
import { APPLIED_VARIABLE, DEFECT_VARIABLE, withDefect } from './defect.ts'
import { defects } from './defects.ts'

/**
 * Loaded before all else (`node --import`): gives one module of storage with a defect. The environment names it; without a name nothing
 * is changed.
 */
const name = process.env[DEFECT_VARIABLE]
if (name !== undefined && name !== '') {
  const defect = defects.find((candidate) => candidate.name === name)
  if (defect === undefined) throw new Error(`there is no defect "${name}"`)
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      if (!url.endsWith(`/packages/storage/src/${defect.file}`) || loaded.source === undefined) return loaded
      const { source } = loaded
      const text = typeof source === 'string' ? source : Buffer.from(source as Uint8Array).toString('utf8')
      process.env[APPLIED_VARIABLE] = defect.name
      return { ...loaded, source: withDefect(text, defect) }
    },
  })
}
