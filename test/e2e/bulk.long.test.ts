import { bulkTransfers } from "../support/bulk-scene.ts";

bulkTransfers(1024);
