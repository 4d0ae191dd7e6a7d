import Control
import VarlinkServer
struct ControlService {
    init(backend: any ControlBackend) {}
    var control: VarlinkService { VarlinkService(vendor: "w", product: "w", version: "1", url: "u", interfaces: []) }
    var status: VarlinkService { control }
}
