import type { Campaign } from '../campaign.ts'

/** In the order of `all`: from the parts to the whole. */
export const campaigns: readonly Campaign[] = []
