from kit.app import run
from services.gateway.app import NAME
from services.gateway.serving import serve
from services.gateway.settings import Settings

if __name__ == "__main__":
    run(NAME, serve(Settings()))
