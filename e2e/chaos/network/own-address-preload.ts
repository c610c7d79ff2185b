import { connectFrom, OWN_ADDRESS } from './own-address.ts'

/** Loaded into a node before anything else: `NODE_OPTIONS=--require=…`. Its threads load it too. */
const address = process.env[OWN_ADDRESS]
if (address !== undefined) connectFrom(address)
