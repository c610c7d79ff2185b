import { registerHooks } from 'node:module'
import { APPLIED_VARIABLE, MUTATION_VARIABLE, withMutation } from './mutation.ts'
import { mutations } from './mutations.ts'

/** Loaded before all else (`node --import`): gives one module a defect, which the environment names. */
const name = process.env[MUTATION_VARIABLE]
if (name !== undefined && name !== '') {
  const mutation = mutations.find((candidate) => candidate.name === name)
  if (mutation === undefined) throw new Error(`there is no mutation "${name}"`)
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      if (!url.endsWith(`/${mutation.file}`) || loaded.source === undefined) return loaded
      const { source } = loaded
      const text = typeof source === 'string' ? source : Buffer.from(source as Uint8Array).toString('utf8')
      process.env[APPLIED_VARIABLE] = mutation.name
      return { ...loaded, source: withMutation(text, mutation) }
    },
  })
}
